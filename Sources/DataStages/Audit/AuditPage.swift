import Catalog
import Imaging
import Reporting

/// The page of an audit: its findings, with images.
struct AuditPage {
  let audit: Audit
  /// The folder of the lists of rows.
  let folder: String

  /// The longer side of an image on the page, in pixels.
  private static let side = 160

  func report() throws -> Report {
    let rows = audit.findings.map { finding in
      [
        finding.kind.title, "\(finding.count) \(finding.kind.unit)",
        audit.remedy(finding, folder: folder) ?? "",
      ]
    }
    var sections = [
      ReportSection(
        "The data", audit.problems.map(ReportBlock.text) + audit.summary.map(ReportBlock.text)),
      ReportSection(
        "Findings",
        [
          .table(
            ReportTable(
              columns: ["what", "count", "settings that drop them"], rows: rows, numberColumns: [1])
          )
        ]),
    ]
    let source = ImageSource(audit.catalog)
    for finding in audit.findings where finding.count > 0 {
      let cards = try finding.examples.map { try card($0, source) }
      sections.append(
        ReportSection(
          finding.kind.title,
          [
            .text(finding.kind.explanation),
            .images(ImageGrid(cards: cards, width: Self.side)),
          ]))
    }
    return Report(
      title: "Audit of preference data",
      subtitle: "\(audit.counts.pairs) pairs, \(audit.data.images.count) distinct images",
      sections: sections)
  }

  private func card(
    _ example: AuditFinding.Example, _ source: ImageSource
  ) throws -> ImageGrid.Card {
    let shots = try example.images.compactMap { number -> ImageGrid.Shot? in
      guard let record = try audit.catalog.image(id: audit.data.images[number].id),
        let image = try? RGBImage(decoding: try source.bytes(of: record))
      else { return nil }
      return ImageGrid.Shot(
        "\(image.width) x \(image.height)",
        png: try image.reduced(toLongerEdge: Self.side).encodedAsPNG(),
        note: record.uid)
    }
    let note = example.note.isEmpty ? "" : " (\(example.note))"
    let lines = [example.prompt, example.place + note].filter { !$0.isEmpty }
    return ImageGrid.Card(prompt: lines.joined(separator: "\n"), shots: shots)
  }
}
