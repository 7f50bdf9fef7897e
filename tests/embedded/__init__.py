"""The embedded servers, from outside: real processes, real kills, one data folder a test."""
