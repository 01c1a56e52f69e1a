"""Wrong answers to the exercises, a file a chapter: what students write, and the message.

``WRONG`` has for each exercise a list of (function, words that the diagnosis must contain).
"""
