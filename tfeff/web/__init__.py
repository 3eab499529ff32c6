"""The page that runs artifacts in a browser: its files, and the server for it. Never imports TensorFlow or Keras."""

from tfeff.web.assets import Asset, page_assets
from tfeff.web.server import PageServer, Reply, Request
from tfeff.web.site import site, write_page

__all__ = ["Asset", "PageServer", "Reply", "Request", "page_assets", "site", "write_page"]
