/* suppressions_known.c - what libraries that everybody has keep until the end on purpose:
 * no program is to blame for it. In Valgrind's syntax. Nothing here is definitely lost,
 * so none of it counts unless --fail-on asks for more. */
#include "answers/suppressions.h"

const char suppressions_known[] =
    /* Held by stdin, stdout, stderr or an open FILE; what is left of the text in them at
     * the end is still to be written. */
    "{\n"
    "   buffers of streams (libc)\n"
    "   Memcheck:Leak\n"
    "   match-leak-kinds: reachable\n"
    "   fun:malloc\n"
    "   fun:_IO_file_doallocate\n"
    "}\n"
    /* Lists of what is loaded and its names, needed until the last destructor has run. */
    "{\n"
    "   tables of loaded objects (ld.so)\n"
    "   Memcheck:Leak\n"
    "   match-leak-kinds: reachable\n"
    "   fun:*\n"
    "   obj:*/ld-linux-x86-64.so.2\n"
    "}\n"
    /* Taken when the library is loaded: to throw std::bad_alloc there must be memory. */
    "{\n"
    "   room for exceptions without memory (libstdc++)\n"
    "   Memcheck:Leak\n"
    "   match-leak-kinds: reachable\n"
    "   fun:malloc\n"
    "   obj:*/libstdc++.so.6*\n"
    "   fun:call_init*\n"
    "}\n"
    /* Pages of small blocks, which GLib keeps for the next ones; it holds them by an
     * address at their end. */
    "{\n"
    "   pages of g_slice (GLib)\n"
    "   Memcheck:Leak\n"
    "   match-leak-kinds: possible,reachable\n"
    "   fun:*\n"
    "   obj:*/libglib-2.0.so.0*\n"
    "   fun:g_slice_alloc\n"
    "}\n"
    /* Of static types, which live as long as the process; held by the middle, where the
     * class structure begins. */
    "{\n"
    "   classes of types (GObject)\n"
    "   Memcheck:Leak\n"
    "   match-leak-kinds: possible,reachable\n"
    "   ...\n"
    "   obj:*/libgobject-2.0.so.0*\n"
    "   fun:g_type_class_ref\n"
    "}\n";
