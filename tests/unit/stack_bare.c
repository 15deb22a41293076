/* A million bytes of code, of which no unwind table tells anything. */
__asm__(".text\n.globl bare_code\n.type bare_code, @function\n"
        "bare_code:\n.space 1000000, 0xc3\n.size bare_code, .-bare_code\n");
