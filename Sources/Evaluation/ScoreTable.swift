public import Reporting
import Scorers

/// A table of scores as text.
public struct ScoreTable {
  public let columns: [String]
  public let rows: [[String]]
  /// The number of text columns; all others are numeric.
  public static let wordColumns = 1

  /// - Parameters:
  ///   - model: the heading of the model's scores
  ///   - against: the heading of the other model's scores; nil if there is none
  public init(_ rows: [ScoreRow], model: String = "model", against: String?) {
    let measuresDiversity = rows.contains { $0.diversity != nil }
    columns =
      ["scorer", "guidance", model]
      + (against.map { [$0, "difference", "95 % interval", "win rate", "95 % interval"] }
        ?? ["95 % interval"])
      + (measuresDiversity
        ? against.map { ["diversity, \(model)", "diversity, \($0)"] } ?? ["diversity"] : [])
    self.rows = rows.map { row in
      Self.cells(row)
        + (measuresDiversity ? Self.diversityCells(row, isCompared: against != nil) : [])
    }
  }

  private static func cells(_ row: ScoreRow) -> [String] {
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

  private static func diversityCells(_ row: ScoreRow, isCompared: Bool) -> [String] {
    ([row.diversity] + (isCompared ? [row.comparison?.againstDiversity] : [])).map {
      $0.map { decimalText($0, decimals: 3) } ?? ""
    }
  }

  /// The same for a page.
  public var report: ReportTable {
    ReportTable(
      columns: columns, rows: rows,
      numberColumns: Set(columns.indices.dropFirst(Self.wordColumns)))
  }

  /// The same as lines of text.
  public var lines: [String] {
    let all = [columns] + rows
    let widths = columns.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    return all.map { row in
      zip(row, widths).enumerated().map { column, cell in
        let space = String(repeating: " ", count: cell.1 - cell.0.count)
        return column >= Self.wordColumns ? space + cell.0 : cell.0 + space
      }.joined(separator: "  ")
    }
  }
}
