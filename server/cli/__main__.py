"""`python -m server.cli`: the same as `clarion`, for the parts that a command starts."""

from server.cli.main import main

main()
