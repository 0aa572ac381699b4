"""Where the bytes of blobs are kept: the contract, the drivers, and the conformance suite for who writes another
driver.
"""
