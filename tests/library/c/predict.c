/* Predicts for every input on standard input, and writes the outputs as they are. */

#include <stdio.h>

#include "net.c"

int main(void) {
    float input[NET_INPUTS], output[NET_OUTPUTS];
    size_t room;
    if (sws_need(bytes, sizeof bytes, &room) || room > sizeof memory) return 2;
    if (sizeof memory - room > 256) return 3; /* what is asked for is what is needed */
    while (fread(input, sizeof *input, NET_INPUTS, stdin) == NET_INPUTS) {
        if (net_predict(input, output)) return 4;
        fwrite(output, sizeof *output, NET_OUTPUTS, stdout);
    }
    return 0;
}
