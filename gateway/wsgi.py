"""What the WSGI server loads: the application over this process's resources."""

import logs
import settings
from gateway.app import create_app
from tasks.resources import build

logs.configure()
app = create_app(build(settings.current()))
