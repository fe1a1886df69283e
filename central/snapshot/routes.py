"""Where gates fetch what they decide with: their own signed document, and the files that it names."""

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, Response

from central.keys import Keys
from central.snapshot import service
from central.snapshot.rules import Carry

_NAME = re.compile(r"[0-9a-f]{64}")


def routes(folder: Path, keys: Keys, carry: Mapping[str, Carry]) -> APIRouter:
    router = APIRouter()

    @router.get("/snapshot/{site}/{edge}")
    async def document(site: str, edge: str, key: str) -> Response:
        try:
            shown = urlsafe_b64decode(key + "=" * (-len(key) % 4))
            told = service.document(folder, keys, carry, site=site, edge=edge, key=shown)
        except ValueError as error:
            raise HTTPException(400, "key: show the box's X25519 public key of this boot, base64url") from error
        if told is None:
            raise HTTPException(503, "the first snapshot is still being built; come again")
        return Response(told, media_type="application/json", headers={"Cache-Control": "no-store"})

    @router.get("/snapshot/{name}")
    async def part(name: str) -> Response:
        """Byte ranges are served, so that a fetch can go on where it was cut off."""
        path = folder / name
        if not _NAME.fullmatch(name) or not path.is_file():
            raise HTTPException(404)
        return FileResponse(
            path, media_type="application/octet-stream", headers={"Cache-Control": "private, max-age=3600, immutable"}
        )

    @router.get("/policy/{sha256}")
    async def policy(sha256: str) -> Response:
        """By its hash, with a signature of its own."""
        told = service.policy(folder, keys, sha256)
        if told is None:
            raise HTTPException(404)
        return Response(told, media_type="application/json", headers={"Cache-Control": "private, max-age=3600"})

    return router
