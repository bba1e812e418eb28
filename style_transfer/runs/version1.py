"""Reads records of version 1 of the program."""

TERMS = ("content", "style", "total_variation")


def upgraded(old: dict) -> dict:
    """The content of a version 1 record in today's form.

    Raises:
        ValueError: its content is not what version 1 wrote.
    """
    try:
        return _upgraded(old)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"not a record of version 1 ({type(error).__name__}: {error})") from None


def _upgraded(old: dict) -> dict:
    filters = old.get("weights")
    statuses = {"notfinite": "failed"}
    return {
        "preset": old["preset"],
        "settings": _settings(old["settings"]),
        "content": old["base"],
        "styles": old["styles"],
        "start": old.get("init"),
        "masks": old.get("masks", []),
        "sizes": [
            {("number" if key == "scale" else key): value for key, value in stretch.items()}
            for stretch in old["stretches"]
        ],
        "status": statuses.get(old["status"], old["status"]),
        "filters": filters
        and {
            "source": filters["source"],
            "file": filters["file"],
            "sha256": filters["sha256"],
            "convention": filters["input"],
        },
        "precision": old.get("precision", ""),
        "loss_weights": old.get("auto_weights", {}),
        "versions": [old["versions"]] if "versions" in old else [],
        "iterations": [
            {
                "number": entry["iteration"],
                "evaluations": entry["evaluations"],
                "total": entry["total"],
                "sha256": entry.get("sha256", ""),
            }
            for entry in old["iterations"]
        ],
        "evaluations": [
            {
                "number": entry["evaluation"],
                "size": entry["scale"],
                "iteration": entry["iteration"],
                "seconds": entry["seconds"],
                "total": entry["total"],
                "terms": {term: entry[term] for term in TERMS},
            }
            for entry in old["evaluations"]
        ],
    }


def _settings(old: dict) -> dict:
    """Settings, with the steps between sizes that `auto` meant in version 1."""
    return old | ({"scales": "auto:1.75"} if old["scales"] == "auto" else {})
