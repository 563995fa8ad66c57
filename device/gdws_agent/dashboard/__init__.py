"""The dashboard at ``/``: a page with its own scripts and styles, which asks the REST interface like any client."""
