/* Prints ports of 127.0.0.1 that the kernel has just had free, for programs that can't be given port 0.
 *
 *     free_port [HOW_MANY] */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 1;

    for (int i = 0; i < count; i++) { /* all are held until the end, so that none comes twice */
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 ||
            getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
            perror("free_port");
            return 1;
        }
        printf("%d\n", ntohs(address.sin_port));
    }
    return 0;
}
