import Files
import PipelineCore
import Reporting

/// The most recent images of a report in progress.
struct RecentImages {
  /// The folder of the report.
  let folder: String

  private static let shown = 4

  /// The first image of each of the latest prompts, before and after; nil if there are none.
  var grid: ImageGrid? {
    let names = (try? Folders.names(in: "\(folder)/pictures")) ?? []
    var prompts: [String: [String]] = [:]
    for name in names {
      guard let match = name.wholeMatch(of: /([0-9]{3,9})-0-([a-z]+)\.png/) else { continue }
      prompts[String(match.1), default: []].append(String(match.2))
    }
    let last = prompts.keys.sorted { ($0.count, $0) < ($1.count, $1) }.suffix(Self.shown)
    let cards = last.compactMap { number -> ImageGrid.Card? in
      // "Before" comes first, despite the alphabet.
      let models = (prompts[number] ?? []).sorted {
        ($0 == "before" ? 0 : 1, $0) < ($1 == "before" ? 0 : 1, $1)
      }
      let shots = models.compactMap { model -> ImageGrid.Shot? in
        let path = "\(folder)/pictures/\(number)-0-\(model).png"
        guard let png = try? RegularFile(path: path).readAll() else { return nil }
        return ImageGrid.Shot(model, png: png)
      }
      return shots.isEmpty ? nil : ImageGrid.Card(prompt: "prompt \(number)", shots: shots)
    }
    return cards.isEmpty ? nil : ImageGrid(cards: cards)
  }
}
