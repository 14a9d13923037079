import Files
import Foundation

/// One row of the table of `spo bench`.
struct BenchRow {
  let name: String
  let size: String
  let batch: Int?
  let median: Double
  let least: Double
  let runs: Int
  let threads: Int
  /// The peak memory of the process that measured this row alone.
  let peakMegabytes: Double?
  let flop: Int?
  let bytes: Int?
  let items: Int?
  /// The device's peak operations per second, if known.
  let peakRate: Double?
  /// Whether the device may compute wrongly.
  let isUnproven: Bool

  /// Returns the rows measured by one process: one, or one per size.
  static func rows(of json: JSON) throws(JSONError) -> [BenchRow] {
    let result = JSONReader(json, path: "the result of a benchmark")
    guard let cases = try result.optional("cases")?.elements() else {
      return [try BenchRow(result, of: result)]
    }
    var rows: [BenchRow] = []
    for part in cases { rows.append(try BenchRow(part, of: result)) }
    return rows
  }

  private init(_ part: JSONReader, of result: JSONReader) throws(JSONError) {
    name = try result.string("name")
    size = try part.string("size", default: "")
    batch = try part.optional("batch")?.int()
    median = try part.double("median_s")
    least = try part.double("min_s")
    runs = try part.int("runs")
    threads = try result.int("threads")
    peakMegabytes = try part.optional("peak_rss_mb")?.double()
    flop = try part.optional("flop")?.int()
    bytes = try part.optional("bytes")?.int()
    items = try part.optional("items")?.int()
    peakRate = try result.optional("peak_flop_rate")?.double()
    isUnproven = try result.optional("unproven")?.bool() ?? false
  }

  fileprivate var fields: JSON.Object {
    var fields = JSON.Object()
    fields["name"] = .string(name)
    if !size.isEmpty { fields["size"] = .string(size) }
    fields["batch"] = batch.map { .integer($0) }
    fields["median_s"] = .number(median)
    fields["min_s"] = .number(least)
    fields["runs"] = .integer(runs)
    fields["threads"] = .integer(threads)
    fields["peak_rss_mb"] = peakMegabytes.map { .number($0) }
    fields["flop"] = flop.map { .integer($0) }
    fields["bytes"] = bytes.map { .integer($0) }
    fields["items"] = items.map { .integer($0) }
    if isUnproven { fields["unproven"] = true }
    return fields
  }

  /// Floating-point operations per second.
  var flopRate: Double? { flop.map { Double($0) / median } }
}

/// A table of measurements.
struct BenchTable {
  let rows: [BenchRow]

  init(_ rows: [BenchRow]) { self.rows = rows }

  var text: String {
    let header = [
      "name", "size", "batch", "median ms", "min ms", "runs", "threads", "MB", "GFLOP", "rate", "",
      rows.contains { $0.peakRate != nil } ? "of peak" : "of GEMM", "x 1 thread",
    ]
    return Self.aligned([header] + rows.map(cells), textColumns: [0, 1, 10])
  }

  private func cells(_ row: BenchRow) -> [String] {
    let rate = Self.rate(row)
    return [
      row.isUnproven ? "\(row.name), unproven" : row.name, row.size,
      row.batch.map { "\($0)" } ?? "", Self.milliseconds(row.median), Self.milliseconds(row.least),
      "\(row.runs)", "\(row.threads)",
      row.peakMegabytes.map { String(format: "%.0f", $0) } ?? "",
      row.flop.map { String(format: $0 < 10_000_000_000 ? "%.2f" : "%.0f", Double($0) / 1e9) }
        ?? "",
      rate.number, rate.unit, share(row).map { String(format: "%.0f %%", 100 * $0) } ?? "",
      speedup(row).map { String(format: "%.2f", $0) } ?? "",
    ]
  }

  /// Returns the fraction of the device's peak, or of the rate of the large matrix product on as
  /// many threads.
  private func share(_ row: BenchRow) -> Double? {
    if let peak = row.peakRate { return row.flopRate.map { $0 / peak } }
    let gemm = rows.first { $0.name == "gemm" && $0.threads == row.threads }
    guard let peak = gemm.flatMap({ row in row.flop.map { Double($0) / row.least } }) else {
      return nil
    }
    return row.flopRate.map { $0 / peak }
  }

  /// Returns the speedup over the same work on one thread, if there is such a row.
  private func speedup(_ row: BenchRow) -> Double? {
    guard row.threads > 1 else { return nil }
    let single = rows.first {
      $0.threads == 1
        && ($0.name, $0.size, $0.batch, $0.flop)
          == (row.name, row.size, row.batch, row.flop)
    }
    return single.map { $0.median / row.median }
  }

  private static func rate(_ row: BenchRow) -> (number: String, unit: String) {
    func text(_ count: Int, _ unit: Double) -> String {
      String(format: "%.1f", Double(count) / row.median / unit)
    }
    if let flop = row.flop { return (text(flop, 1e9), "GFLOP/s") }
    if let bytes = row.bytes { return (text(bytes, 1e6), "MB/s") }
    if let items = row.items { return (text(items, 1), "items/s") }
    return ("", "")
  }

  private static func milliseconds(_ seconds: Double) -> String {
    String(format: seconds < 1 ? "%.2f" : "%.0f", seconds * 1e3)
  }

  var json: JSON {
    [
      "rows": .array(
        rows.map { row in
          var fields = row.fields
          fields[row.peakRate == nil ? "share_of_gemm" : "share_of_peak"] =
            share(row).map { .number($0) }
          fields["speedup"] = speedup(row).map { .number($0) }
          return .object(fields)
        })
    ]
  }

  /// Aligns cells in columns, numbers to the right.
  static func aligned(_ lines: [[String]], textColumns: Set<Int>) -> String {
    let widths = (lines.first ?? []).indices.map { column in
      lines.reduce(0) { max($0, $1[column].count) }
    }
    return lines.map { line in
      let cells = line.enumerated().map { column, cell in
        let space = String(repeating: " ", count: widths[column] - cell.count)
        return textColumns.contains(column) ? cell + space : space + cell
      }
      let text = cells.joined(separator: "  ")
      return String(text.reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
  }
}
