/* projector/transfer_report.h - what copy and restore tell of what they made. */
#ifndef TARN_PROJECTOR_TRANSFER_REPORT_H
#define TARN_PROJECTOR_TRANSFER_REPORT_H

#include "projector/store_transfer.h"

void transfer_report_print(const char *directory, const struct store_transferred *transferred, bool is_json);

#endif
