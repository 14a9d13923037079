extension CommandSyntax {
  /// `spo NAME OPERANDS [options]`.
  public var usage: String {
    var words = ["spo", name]
    for operand in operands {
      let word = operand.placeholder + (operand.isRepeatable ? "..." : "")
      words.append(operand.isOptional ? "[\(word)]" : word)
    }
    if !options.isEmpty { words.append("[options]") }
    return words.joined(separator: " ")
  }

  /// The output of `--help`.
  public var help: String {
    var lines = [summary, "", "usage: \(usage)"]
    if !options.isEmpty {
      lines += ["", "options:"]
      lines += Self.columns(
        options.map { option in
          let value = option.placeholder.map { " \($0)" } ?? ""
          return ("--\(option.name)\(value)\(option.isRepeatable ? " ..." : "")", option.help)
        })
    }
    lines += ["", examples.count == 1 ? "example:" : "examples:"]
    for (line, purpose) in examples { lines += ["  # \(purpose)", "  \(line)"] }
    return lines.joined(separator: "\n")
  }

  /// Two columns, the first as wide as its longest text.
  public static func columns(_ rows: [(String, String)]) -> [String] {
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { first, second in
      "  \(first)\(String(repeating: " ", count: width - first.count))  \(second)"
    }
  }
}
