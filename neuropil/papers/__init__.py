"""One page for every published system, in folders by family."""
