"""What makes the cells fast. Skip it at first reading: nothing here changes what they compute."""
