import Catalog
public import Files

extension Audit {
  /// The findings in words.
  ///
  /// - Parameter folder: where lists were written; nil: none were
  public func lines(folder: String?) -> [String] {
    var lines = problems.map { "problem: \($0)" } + summary
    for finding in findings {
      let count = finding.count == 0 ? "none" : "\(finding.count) \(finding.kind.unit)"
      lines.append("\(finding.kind.title): \(count)")
      guard finding.count > 0 else { continue }
      for example in finding.examples.prefix(3) {
        let note = example.note.isEmpty ? "" : " (\(example.note))"
        let prompt = finding.kind.isOfImages ? "" : ": \"\(example.prompt.prefix(80))\""
        lines.append("    \(example.place)\(prompt)\(note)")
      }
      if let remedy = remedy(finding, folder: folder) {
        lines.append("    to drop them: \(remedy)")
      }
    }
    return lines.map(\.printable)
  }

  /// Counts and distributions.
  var summary: [String] {
    let splits = prompts.pairsBySplit.sorted { $0.key < $1.key }.map { "\($0.value) in \($0.key)" }
    var lines = [
      "\(counts.pairs) pairs (\(splits.joined(separator: ", "))), \(prompts.pairsPerPrompt.count) "
        + "prompts, \(data.images.count) distinct images"
    ]
    lines += rejections.map {
      "\(Spelled.count($0.count, of: "rows")) rejected, \($0.code), such as \($0.example)"
    }
    for (what, values) in distributions {
      guard let values else { continue }
      lines.append(
        "\(what): \(number(values.least)) to \(number(values.most)), median \(number(values.median))"
      )
    }
    if prompts.judgedTwice == 0 {
      lines.append(
        prompts.annotators.isEmpty
          ? "annotators: not recorded"
          : "annotators: \(prompts.annotators.count); no two judged the same images")
    } else {
      lines.append(
        "annotators: \(prompts.annotators.count); in \(prompts.judgedTwice) cases two of them "
          + "judged the same images, and they agree in \(prompts.judgedAlike)")
    }
    if !sizes.isEmpty {
      lines.append(
        "sizes: " + sizes.prefix(6).map { "\($0.count) of \($0.size)" }.joined(separator: ", ")
          + (sizes.count > 6 ? " and \(sizes.count - 6) other sizes" : ""))
    }
    if !looks.formats.isEmpty {
      lines.append(
        "formats: "
          + looks.formats.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
          .joined(separator: ", "))
    }
    if looks.isPartial {
      lines.append("so many images look alike that each was compared with only some of them")
    }
    return lines
  }

  struct Distribution {
    let least: Double
    let median: Double
    let most: Double

    init?(_ values: [Double]) {
      let values = values.sorted()
      guard let least = values.first, let most = values.last else { return nil }
      self.least = least
      self.most = most
      median = values[values.count / 2]
    }

    var json: JSON {
      ["min": .number(least), "median": .number(median), "max": .number(most)]
    }
  }

  private var distributions: [(String, Distribution?)] {
    [
      ("pairs per prompt", Distribution(prompts.pairsPerPrompt.map(Double.init))),
      ("images per prompt", Distribution(prompts.imagesPerPrompt.map(Double.init))),
      ("weights", Distribution(prompts.weights)),
    ]
  }

  private func number(_ value: Double) -> String {
    Int(exactly: value).map { "\($0)" } ?? "\((value * 1000).rounded() / 1000)"
  }

  /// Images by size, the most frequent first.
  var sizes: [(size: String, count: Int)] {
    var sizes: [String: Int] = [:]
    for image in data.images {
      guard let width = image.width, let height = image.height else { continue }
      sizes["\(width) x \(height)", default: 0] += 1
    }
    return sizes.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
  }

  /// - Parameter folder: where lists were written; nil: none were
  public func json(folder: String?) -> JSON {
    var splits = JSON.Object()
    for (split, count) in prompts.pairsBySplit.sorted(by: { $0.key < $1.key }) {
      splits[split] = .integer(count)
    }
    var rejected = JSON.Object()
    for rejection in rejections { rejected[rejection.code] = .integer(rejection.count) }
    var formats = JSON.Object()
    for (format, count) in looks.formats.sorted(by: { $0.key < $1.key }) {
      formats[format] = .integer(count)
    }
    var object: JSON.Object = .init()
    object["problems"] = .array(problems.map { .string($0) })
    object["pairs"] = .integer(counts.pairs)
    object["pairs_by_split"] = .object(splits)
    object["prompts"] = .integer(prompts.pairsPerPrompt.count)
    object["images"] = .integer(data.images.count)
    object["rejects"] = .object(rejected)
    for (what, values) in distributions {
      object[String(what.map { $0 == " " ? "_" : $0 })] = values?.json ?? .null
    }
    object["annotators"] = [
      "count": .integer(prompts.annotators.count),
      "judged_by_two": .integer(prompts.judgedTwice), "agree": .integer(prompts.judgedAlike),
    ]
    object["sizes"] = .array(
      sizes.map { ["size": .string($0.size), "count": .integer($0.count)] })
    object["formats"] = .object(formats)
    object["findings"] = .array(findings.map { json($0, folder) })
    return .object(object)
  }

  private func json(_ finding: AuditFinding, _ folder: String?) -> JSON {
    [
      "kind": .string(finding.kind.rawValue), "count": .integer(finding.count),
      "unit": .string(finding.kind.unit),
      "remedy": remedy(finding, folder: folder).map { .string($0) } ?? .null,
      "examples": .array(
        finding.examples.map {
          [
            "place": .string($0.place), "prompt": .string($0.prompt), "note": .string($0.note),
          ]
        }),
    ]
  }
}
