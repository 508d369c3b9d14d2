"""Flask's development server, on port 5001: `python run.py`."""

from service.app import app

if __name__ == "__main__":
    app.extensions["gpserve"].start()
    app.run(port=5001, threaded=True)
