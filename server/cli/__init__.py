"""The command line: one file a group of commands. They translate; they decide nothing.

What is slow to import is imported where it is used: a command that fails on a typing error should do so at once.
"""
