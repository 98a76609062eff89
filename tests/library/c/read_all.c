/* Reads files from standard input and says what they hold: of each file a line for every tensor,
   then one with the error, 0 for none. The argument: how many bytes a network may take. */

#include "told.h"

int main(int count, char **arguments) {
    uint64_t most = count > 1 ? strtoull(arguments[1], NULL, 10) : (uint64_t)1 << 30;
    blob file;
    while (next_blob(stdin, &file)) {
        int error = tell(file, most, stdout);
        printf("= %d %s\n", error, sws_message(error));
        free(file.data);
    }
    return 0;
}
