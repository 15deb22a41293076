#include "command/verbs.h"

#include "answers/models.h"
#include "command/check.h"
#include "command/env.h"
#include "command/mark.h"
#include "command/run.h"

#include <string.h>

static const char run_details[] =
    "Runs the program with its allocations recorded. Output, signals and exit status\n"
    "are the program's own; ullage speaks on standard error, in lines that begin with\n"
    "\"ullage:\".\n"
    "\n"
    "  -o, --output=FILE         record to FILE (default: ullage.PROGRAM.PID here); an\n"
    "                            earlier recording of that name becomes FILE.old\n"
    "      --children=yes|no     record child processes, to FILE.PID (default: yes)\n"
    "      --depth=N             innermost frames told of each call stack, 1 to 1024\n"
    "                            (default: 1024)\n"
    "      --scan=yes|no         look for leaks at the end (default: yes)\n"
    "      --guard               find writes beyond the end of blocks, and after free\n"
    "      --sample[=BYTES]      look up one stack in so many bytes of allocations\n"
    "                            (default: 524288), and estimate the rest; auto, or\n"
    "                            auto:BYTES: only once stacks cost too much\n"
    "      --sample-share=PERCENT  of processor time, that is too much (default: 10)\n"
    "      --scan-limit=SECONDS  after which that ends with what is known (default: 60;\n"
    "                            0: no limit)\n"
    "      --heuristics=LIST     pointers into blocks that count: all (default), none, names\n"
    "      --disk=MIB            what all recordings of the run may have on the disk\n"
    "                            (default: 1024, or a tenth of what is free)\n"
    "      --readers=owner|group|all  who may read them (default: owner)\n"
    "      --python-malloc=yes|no  set PYTHONMALLOC=malloc for CPython (default: yes)\n"
    "      --g-slice=yes|no      set G_SLICE=always-malloc for programs of glib (default: yes)\n"
    "  -q, --quiet               no summary at the end\n"
    "      --help                this text\n"
    "\n"
    "Exit status: the program's; or 1 if ullage failed, 2 for a wrong option, 126 if\n"
    "the program cannot be run or recorded, 127 if it was not found.\n";

static const char check_details[] =
    "Runs the program with its output untouched, records every process that comes of\n"
    "it, and judges those whose programs lie below the current directory; if there are\n"
    "none, the one that was named. Recordings stay if something is found. Without \"--\":\n"
    "judges what was recorded before.\n"
    "\n"
    "      --programs=PATTERN|all  whom to judge; '*' stands for any text\n"
    "      --fail-on=KIND,...    definite, indirect, possible, reachable, growth, bad-free,\n"
    "                            mismatch, overrun, write-after-free (default:\n"
    "                            definite,bad-free,overrun,write-after-free)\n"
    "      --max=[PATTERN:]peak=SIZE,live=SIZE,allocations=N,temporary=N%  what a process\n"
    "                            of such a program may use\n"
    "      --warmup=TIME|MARK    what was allocated before does not count\n"
    "      --ours=PATH|MODULE    tell findings by the innermost frame of that code\n"
    "      --ours=only           only those count whose frame to blame is ours\n"
    "      --not-ours=PATH|MODULE  those do not count whose frame to blame is there\n"
    "      --min-bytes=SIZE, --min-blocks=N      what one function loses counts from so\n"
    "                            much on\n"
    "      --allow-bytes=SIZE, --allow-blocks=N  all that is lost may be so much\n"
    "      --strict              who could not be judged is a finding\n"
    "      --exit-code=N         status if there are findings (default: 99; 0: the\n"
    "                            program's own)\n"
    "      --guard               find writes beyond the end of blocks, and after free\n"
    "      --keep-going          a program that frees wrongly goes on\n"
    "      --baseline=FILE       findings that are known pass, unless they have grown\n"
    "      --update-baseline=FILE  accept what was found: write it there\n"
    "      --grow-blocks=N, --grow-percent=N  has grown what has so many blocks more than\n"
    "                            it had, and more than so many percent (default: 1, 10)\n"
    "      --suppressions=FILE   stacks that are accepted, as LeakSanitizer or Valgrind\n"
    "                            have them; may be given again\n"
    "      --gen-suppressions=valgrind|lsan[:FILE]  write such of what was found\n"
    "      --format=FORMAT[:FILE]  text, json, sarif, junit, github, memcheck or\n"
    "                            valgrind-xml (with %p in FILE one for each process);\n"
    "                            may be given again\n"
    "      --source-root=DIR     sources are told by their paths below it\n"
    "      --all                 all findings, and all call stacks of each\n"
    "  -o, --output=FILE         keep the recording as FILE, and FILE.PID\n"
    "  -q, --quiet               say nothing\n"
    "      --depth, --scan-limit, --heuristics, --disk, --readers, --python-malloc,\n"
    "      --g-slice             as of 'ullage run'\n"
    "      --sysroot, --debuginfod   as of 'ullage report'\n"
    "      --help                this text\n"
    "\n"
    "Exit status: 99 (--exit-code) if there are findings, whatever the program's; but a\n"
    "program that a signal ends, ends ullage by that signal. Else the program's; or 1 if\n"
    "that is 0 and ullage failed or the program was not recorded, 2 for a wrong option,\n"
    "126 if the program cannot be run or recorded, 127 if it was not found.\n";

const struct verb verbs[] = {
    {.name = "run",
     .purpose = "run a program and record its heap",
     .usage = "[OPTION]... [--] PROGRAM [ARGUMENT]...",
     .details = run_details,
     .main = run_main},
    {.name = "check",
     .purpose = "run a program or a suite of tests, and fail if it leaks",
     .usage = "[OPTION]... -- PROGRAM [ARGUMENT]... | RECORDING...",
     .details = check_details,
     .main = check_main},
    {.name = "report",
     .purpose = "what to change, and all about a recording on a page",
     .usage = "[OPTION]... [FILE|PID]",
     .details =
         "What to change: the functions that leak, grow, keep free memory resident or\n"
         "allocate for nothing, on a page with totals, memory over time, how it adds up to\n"
         "the resident size, and the functions that hold most. --all cuts nothing, and\n"
         "lists the call sites with their stacks.\n"
         "\n"
         "--at=MOMENT, or FILE@MOMENT, is about a moment of the run: who held what.\n",
     .recordings = 1,
     .takes = TAKES_AT | TAKES_MOMENTS,
     .model = report_model,
     .forget = report_forget,
     .text = report_text,
     .json = report_json},
    {.name = "growth",
     .purpose = "which call sites hold more and more memory",
     .usage = "[OPTION]... [FILE|PID]",
     .details = "The trend of each call site over the snapshots, with a verdict and its "
                "reason.\n",
     .recordings = 1,
     .takes = TAKES_SINCE,
     .model = growth_model,
     .forget = growth_forget,
     .text = growth_text,
     .json = growth_json},
    {.name = "leaks",
     .purpose = "which blocks nothing in the program can reach any more",
     .usage = "[OPTION]... [FILE|PID]",
     .details =
         "What the scan at the end of the program found, by verdict and call site.\n",
     .recordings = 1,
     .takes = TAKES_SHOW,
     .model = leaks_model,
     .forget = leaks_forget,
     .text = leaks_text,
     .json = leaks_json},
    {.name = "unused",
     .purpose = "which memory is held but not used",
     .usage = "[OPTION]... [FILE|PID]",
     .details =
         "Memory that surviving blocks pin, slack inside blocks, pages that were never\n"
         "touched, and blocks not written for long, by call site.\n",
     .recordings = 1,
     .model = unused_model,
     .text = unused_text,
     .json = unused_json},
    {.name = "diff",
     .purpose = "what is new, gone, more or less: two looks compared",
     .usage = "[OPTION]... BEFORE AFTER",
     .details =
         "What the second recording leaks or holds more or less than the first, by the\n"
         "functions to change, and by function with all that it calls. They may be of\n"
         "different builds of the program.\n"
         "\n"
         "FILE@MOMENT is a moment of a recording: a time (12s, 1.5m), \"peak\", or a mark\n"
         "(ullage mark). A moment knows of no leaks. Of several processes the one that\n"
         "matters most is compared, and the same or one of the same program with it.\n",
     .recordings = 2,
     .takes = TAKES_MOMENTS | TAKES_FORCE,
     .model = diff_model,
     .forget = diff_forget,
     .text = diff_text,
     .json = diff_json},
    {.name = "env",
     .purpose = "what to set for a program that others start: a daemon, a container",
     .usage = "[OPTION]...",
     .details =
         "Prints variables, one NAME=VALUE a line, as shells (env $(ullage env) PROGRAM),\n"
         "systemd (EnvironmentFile=) and containers (--env-file) read them.\n"
         "\n"
         "  -o, --output=PATTERN      record to that file: %n is the program's name, %p its\n"
         "                            process id (default: ullage.%n.%p here)\n"
         "      --children, --depth, --scan, --sample, --sample-share, --scan-limit,\n"
         "      --heuristics, --disk, --readers, --python-malloc, --g-slice   as of\n"
         "                            'ullage run'\n"
         "      --help                this text\n"
         "\n"
         "Exit status: 0; 1 if there is no libullage.so, 2 for a wrong option.\n",
     .main = env_main},
    {.name = "mark",
     .purpose = "give a name to this moment of a running process",
     .usage = "PID|FILE NAME",
     .details =
         "What is live now, and whose it is, can be compared with what is later, or was\n"
         "before, as FILE@NAME ('ullage diff'). A process that allocates makes the mark\n"
         "itself, in its recording; of one that does not, the recording is copied, to a\n"
         "file FILE@NAME. The process is neither stopped nor sent anything.\n"
         "\n"
         "      --help                this text\n"
         "\n"
         "Exit status: 0; 1 if there is no mark, 2 for a wrong option or name.\n",
     .main = mark_main},
    {.name = "dump",
     .purpose = "the recording itself as readable text",
     .usage = "[OPTION]... [FILE|PID]",
     .details =
         "Header and tables of the recording, for people who debug ullage or write tools.\n",
     .recordings = 1,
     .raw = true,
     .alone = true,
     .model = dump_model,
     .text = dump_text,
     .json = dump_json},
};
const size_t verbs_count = sizeof verbs / sizeof *verbs;

const struct verb *verbs_find(const char *name) {
  for (size_t i = 0; i < verbs_count; i++)
    if (strcmp(verbs[i].name, name) == 0) return &verbs[i];
  return NULL;
}
