"""Imported by the server that readers are forked from: what a reader builds once in its life is built there."""

import cv2
import numpy as np
import zxingcpp

from models.vision.qr import QrReader


def warm() -> None:
    """Look at a symbol so small and blurred that every step is taken."""
    symbol = zxingcpp.create_barcode("0" * 80, zxingcpp.BarcodeFormat.QRCode)
    drawn = np.asarray(zxingcpp.write_barcode_to_image(symbol, scale=4, add_quiet_zones=True)).astype(np.uint8)
    for scale, blur in ((1.0, 0.5), (0.5, 0.8), (0.45, 1.4)):
        small = cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        picture = np.full((480, 640), 128, np.uint8)
        picture[40 : 40 + small.shape[0], 60 : 60 + small.shape[1]] = small
        QrReader().look(cv2.GaussianBlur(picture, (0, 0), blur).astype(np.uint8))


warm()
