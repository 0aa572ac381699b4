"""Links by which somebody without an account reads: made and revoked (`manage`), followed (`follow`)."""
