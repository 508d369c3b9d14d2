"""Run by the Python of LibreOffice: write cells into a new sheet and print what they show.

Arguments: the name of the pipe to LibreOffice, and the cells as JSON, {"A1": content, …}.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import uno
from com.sun.star.beans import PropertyValue
from com.sun.star.connection import NoConnectException

PATIENCE_SECONDS = 60


def connected(pipe: str) -> Any:
    """Return the context of the LibreOffice behind a pipe, once it has started."""
    local = uno.getComponentContext()
    name = "com.sun.star.bridge.UnoUrlResolver"
    resolver = local.ServiceManager.createInstanceWithContext(name, local)
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return resolver.resolve(f"uno:pipe,name={pipe};urp;StarOffice.ComponentContext")
        except NoConnectException:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def setting(name: str, value: object) -> Any:
    found = PropertyValue()
    found.Name, found.Value = name, value
    return found


def main(pipe: str, cells: dict[str, str]) -> None:
    """Print the cells' values as JSON."""
    context = connected(pipe)
    name = "com.sun.star.frame.Desktop"
    desktop = context.ServiceManager.createInstanceWithContext(name, context)
    # Without a user to ask, links are followed and macros are run only if it is said here.
    settings = {"Hidden": True, "UpdateDocMode": 3, "MacroExecutionMode": 4}
    arguments = tuple(setting(*each) for each in settings.items())
    document = desktop.loadComponentFromURL("private:factory/scalc", "_blank", 0, arguments)
    sheet = document.Sheets.getByIndex(0)
    for address, content in cells.items():
        sheet.getCellRangeByName(address).Formula = content
    document.calculateAll()
    print(json.dumps({each: sheet.getCellRangeByName(each).Value for each in cells}))
    desktop.terminate()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
