"""The pages: what a person who never opens a terminal uses. They call the same services as the API.

`app.py` puts it together; `visitor.py` knows who is signed in; `rendering.py` turns a template into a page; each
`pages_*.py` is one subject.
"""

from server.dashboard.app import Pages, create_dashboard

__all__ = ["Pages", "create_dashboard"]
