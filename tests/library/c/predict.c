/* Predicts for every input on standard input, and writes the outputs as they are; what memory that
   takes goes to standard error. */

#include <stdio.h>
#include <stdlib.h>

#include "net.c"

int main(void) {
    float input[NET_INPUTS] = {0}, output[NET_OUTPUTS];
    size_t room = net_memory();
    void *memory = malloc(room); /* no more than that, so that a sanitizer sees what is beyond */
    int error = 0;
    if (!room || !memory) return 2;
    fprintf(stderr, "%lu\n", (unsigned long)room);
    if (net_predict(input, output, memory, room - 1) != SWS_ROOM) return 3;
    if (net_predict(input, output, memory, 0) != SWS_ROOM) return 4;
    while (!error && fread(input, sizeof *input, NET_INPUTS, stdin) == NET_INPUTS) {
        error = net_predict(input, output, memory, room);
        fwrite(output, sizeof *output, NET_OUTPUTS, stdout);
    }
    free(memory);
    return error;
}
