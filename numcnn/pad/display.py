"""Whether a window can be opened here, and by which driver."""

import pygame


def describe() -> dict[str, str]:
    """Return the versions of pygame and SDL and the name of the display's driver.

    Raises pygame.error where there is no display.
    """
    pygame.display.init()
    try:
        driver = pygame.display.get_driver()
    finally:
        pygame.display.quit()
    edition = "pygame-ce" if getattr(pygame, "IS_CE", False) else "pygame"
    return {"pygame": f"{edition} {pygame.version.ver}", "SDL": str(pygame.version.SDL), "driver": driver}
