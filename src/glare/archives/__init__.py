"""Reading archives that strangers made: everything is checked, nothing is believed, memory stays flat."""
