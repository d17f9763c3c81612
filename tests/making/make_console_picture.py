"""Makes docs/console.png: one ECG of the demo hospital in the operators' console, as a laptop shows it.

    python tests/making/make_console_picture.py

Everybody in it is invented. It needs Chromium and the extras `score`, `web` and `test`.
"""

import io
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from ecgfm_clinical import log
from ecgfm_clinical.demo import deliveries, summary
from ecgfm_clinical.demo.hospital import Hospital

OUT = Path(__file__).parents[2] / "docs" / "console.png"


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="console-"))
    with (folder / "events").open("w", encoding="utf-8") as events:
        log.setup(events)
        try:
            with Hospital(folder / "demo", console=True) as hospital:
                _picture(hospital)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _picture(hospital: Hospital) -> None:
    sent = deliveries.ward(datetime.now(UTC))
    hospital.deliver(sent)
    for _ in hospital.progress():
        pass
    chosen = summary.chosen(summary.rows(hospital, sent))
    assert chosen is not None
    assert hospital.console is not None
    with sync_playwright() as driver:
        program = shutil.which("chromium-headless-shell") or shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 1000})
        page.goto(hospital.console.link())
        page.goto(f"http://127.0.0.1:{hospital.console.port.port}/ecgs/{chosen.ecg_id}")
        page.locator("img.ecg").evaluate("async one => { await one.decode() }")
        shot = Image.open(io.BytesIO(page.screenshot()))
        shot.convert("RGB").quantize(64).save(OUT, optimize=True)  # a third of the bytes
        browser.close()


if __name__ == "__main__":
    main()
