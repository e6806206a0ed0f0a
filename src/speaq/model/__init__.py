"""The network: backbone, encoder, iterative decoder, heads. Read ``speaq.py`` first."""
