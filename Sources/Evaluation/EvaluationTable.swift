import Reporting
import Scorers

extension EvaluationResult {
  /// The columns that numbers stand in.
  static let numberColumns: Set<Int> = [1, 2, 3, 4, 5, 6, 7]

  /// The table's head and rows, for people.
  var table: (columns: [String], rows: [[String]]) {
    let isCompared = request.against != nil
    let measuresDiversity = rows.contains { $0.diversity != nil }
    let columns =
      ["scorer", "guidance", "model"]
      + (isCompared
        ? ["against", "difference", "95 % interval", "win rate", "95 % interval"]
        : ["95 % interval"])
      + (measuresDiversity ? ["diversity"] + (isCompared ? ["diversity, against"] : []) : [])
    return (
      columns,
      rows.map { row in
        cells(row) + (measuresDiversity ? diversityCells(row, isCompared: isCompared) : [])
      }
    )
  }

  private func cells(_ row: Row) -> [String] {
    let decimals = row.scorer.decimals
    func text(_ value: Double, signed: Bool = false) -> String {
      decimalText(value, decimals: decimals, signed: signed)
    }
    func text(_ interval: ClosedRange<Double>?, signed: Bool) -> String {
      interval.map {
        "\(text($0.lowerBound, signed: signed)) \u{2026} \(text($0.upperBound, signed: signed))"
      } ?? "\u{2013}"
    }
    let start = [row.scorer.rawValue, "\(row.guidance)", text(row.model.mean)]
    guard let comparison = row.comparison else {
      return start + [text(row.model.interval, signed: false)]
    }
    func percent(_ share: Double) -> String { decimalText(100 * share, decimals: 1) }
    let wins = comparison.winRate
    return start + [
      text(comparison.against.mean), text(comparison.difference.mean, signed: true),
      text(comparison.difference.interval, signed: true), "\(percent(wins.rate)) %",
      "\(percent(wins.interval.lowerBound)) \u{2026} \(percent(wins.interval.upperBound)) %",
    ]
  }

  private func diversityCells(_ row: Row, isCompared: Bool) -> [String] {
    ([row.diversity] + (isCompared ? [row.comparison?.againstDiversity] : [])).map {
      $0.map { decimalText($0, decimals: 3) } ?? ""
    }
  }

  /// The same as lines of text.
  public var lines: [String] {
    let (columns, rows) = table
    let all = [columns] + rows
    let widths = columns.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    return all.map { row in
      zip(row, widths).enumerated().map { column, cell in
        let space = String(repeating: " ", count: cell.1 - cell.0.count)
        return Self.numberColumns.contains(column) || column > 7 ? space + cell.0 : cell.0 + space
      }.joined(separator: "  ")
    }
  }
}
