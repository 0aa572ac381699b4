"""Who is calling. One implementation is chosen in the configuration, from `glare.identity.pipelines.PIPELINES`."""
