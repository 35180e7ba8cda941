"""python -m app.probe PATH: ask the app in this container, as the health check and a deploy do."""

import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path

KEY = Path("/run/secrets/app_metrics_key")
PORT, TIMEOUT_S = 8000, 5


def ask(path: str) -> tuple[int, str]:
    """Status and body of a GET; status 0 with the reason where nothing answers."""
    headers = {"Authorization": f"Bearer {KEY.read_text().strip()}"} if KEY.is_file() else {}
    connection = HTTPConnection("127.0.0.1", PORT, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers=headers)
        answered = connection.getresponse()
        return answered.status, answered.read().decode()
    except (OSError, HTTPException) as error:
        return 0, f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def main() -> int:
    """Print the body; exit code 0 on 2xx, 1 otherwise."""
    status, body = ask(sys.argv[1])
    print(body)
    return 0 if 200 <= status < 300 else 1


if __name__ == "__main__":
    sys.exit(main())
