"""Tools for the dashboard's front end: nothing here is needed to run Clarion."""
