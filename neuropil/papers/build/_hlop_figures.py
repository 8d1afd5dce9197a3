def figures(results):
    return {}
