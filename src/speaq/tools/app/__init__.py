"""The app: scene graphs of photos in a browser, and a data set as a wall of pictures (``speaq app``).

Only `speaq.tools.app.page` needs gradio.
"""
