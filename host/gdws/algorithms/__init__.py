"""The mathematics of GDWS on plain data: numpy arrays in, numpy arrays or plain values out.

Nothing here reads a file, knows a framework or keeps state.
"""
