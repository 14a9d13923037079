import Backends
import Files
import Foundation

/// The cost of each operation in a run, the most expensive first.
struct BenchProfile {
  struct Row {
    let operation: String
    let size: String
    /// Calls per run; all that follows is per run, too.
    let calls: Double
    let milliseconds: Double
    let gigaflopRate: Double?
    /// The fraction of a run's time.
    let share: Double
  }

  let rows: [Row]

  /// - Parameter seconds: the time of each run; the time outside operations becomes its own row
  init(_ profile: OperationProfile, seconds: [Double]) {
    let runs = Double(seconds.count)
    let total = seconds.reduce(0, +)
    func row(_ name: String, _ size: String, calls: Int, seconds: Double, flop: Int) -> Row {
      Row(
        operation: name, size: size, calls: Double(calls) / runs,
        milliseconds: seconds / runs * 1e3,
        gigaflopRate: flop > 0 ? Double(flop) / seconds / 1e9 : nil, share: seconds / total)
    }
    let measured = profile.costs.map { operation, cost in
      row(
        operation.name, operation.size, calls: cost.calls, seconds: cost.seconds, flop: cost.flop)
    }
    let rest = total - profile.costs.values.reduce(0) { $0 + $1.seconds }
    rows =
      measured.sorted { ($1.milliseconds, $0.size) < ($0.milliseconds, $1.size) }
      + [row("between operations", "", calls: 0, seconds: rest, flop: 0)]
  }

  var table: String {
    let header = ["operation", "size", "calls", "ms", "GFLOP/s", "share"]
    let lines =
      [header]
      + rows.map { row in
        [
          row.operation, row.size, String(format: "%.0f", row.calls),
          String(format: "%.3f", row.milliseconds),
          row.gigaflopRate.map { String(format: "%.1f", $0) } ?? "",
          String(format: "%.1f %%", row.share * 100),
        ]
      }
    return BenchTable.aligned(lines, textColumns: [0, 1])
  }
}

extension BenchProfile.Row {
  var json: JSON {
    var fields = JSON.Object()
    fields["operation"] = .string(operation)
    fields["size"] = .string(size)
    fields["calls"] = .number(calls)
    fields["ms"] = .number(milliseconds)
    if let gigaflopRate { fields["gflop_s"] = .number(gigaflopRate) }
    fields["share"] = .number(share)
    return .object(fields)
  }
}
