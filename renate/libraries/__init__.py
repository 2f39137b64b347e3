"""What this package changes inside other libraries: a file for each, a reason for each change.

None of these files imports its library before a change is made, so that a command that needs no
torch doesn't wait for it. `tests/libraries` fails by name where a library has lost what is changed.
"""
