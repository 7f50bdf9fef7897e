"""A broadcast on the simulator, its plug pulled again and again: `clarion drill`, and what tests share of it."""
