"""What a caller may do: rules in oslo.policy's language, compiled once, and the scope that a list may show."""
