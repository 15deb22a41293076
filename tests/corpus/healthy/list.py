# Python: a dictionary that is kept at 500, lists that come and go, classes, texts.
import os, time

class Session:
    def __init__(self, n):
        self.name = "session %d" % n
        self.data = [i * n for i in range(50)]

wait = int(os.environ.get("CORPUS_MS", "1000")) / 1000 / 500
sessions = {}
for step in range(500):
    for n in range(20):
        sessions[step * 20 + n] = Session(n)
    while len(sessions) > 500:
        del sessions[next(iter(sessions))]
    text = ",".join(s.name for s in sessions.values())
    time.sleep(wait)
os._exit(0)  # Python 3.13 loses its own as it ends; memcheck says so too
