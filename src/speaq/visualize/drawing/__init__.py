"""How a scene graph becomes a picture.

In this order: ``look`` and ``matches`` (names, colours and marks), ``layers`` and ``arrange`` (where nodes
and arrows of a diagram lie), ``layout`` (where names on a photo lie), ``photo`` and ``diagram`` (drawing
them), ``blocks`` and ``page`` (what is on a page), and ``sheet`` (the page itself).
"""
