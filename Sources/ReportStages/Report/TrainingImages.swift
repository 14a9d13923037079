import Files
import Foundation
import Imaging
import PipelineCore
import Reporting

/// The rows of held-out prompts that a tuning stage draws as it learns, from `PATH/STAGE/pictures`.
struct TrainingImages {
  struct Row {
    /// What training is counted in, and how far it was: "batch 400".
    let label: String
    let number: Int
    /// In the folder.
    let name: String
  }

  let folder: String
  /// From before training to its end.
  let rows: [Row]

  /// Pixels of a row's longer side on a page; the file has all.
  private static let side = 1_024

  init(folder: String) throws {
    self.folder = folder
    rows = try Folders.names(in: folder).compactMap { name in
      guard let match = name.wholeMatch(of: /([a-z]+)-([0-9]{6,12})\.png/),
        let number = Int(match.2)
      else { return nil }
      return Row(label: "\(match.1) \(number)", number: number, name: name)
    }.sorted { $0.number < $1.number }
  }

  /// The first row, the last one and some in between: none where there is no file that can be read.
  ///
  /// - Parameters:
  ///   - count: rows at most
  ///   - address: the folder as a page sees it; nil: it does not
  ///   - caption: below the rows
  func grid(count: Int, address: String?, caption: String) -> ImageGrid? {
    let shots = chosen(count).compactMap { row -> ImageGrid.Shot? in
      // One that is being replaced or was lost is none to look at.
      guard let bytes = try? RegularFile(path: "\(folder)/\(row.name)").readAll(),
        let image = try? RGBImage(decoding: bytes), let png = try? Self.reduced(image, bytes)
      else { return nil }
      return ImageGrid.Shot(row.label, png: png, file: address.map { "\($0)/\(row.name)" })
    }
    guard !shots.isEmpty else { return nil }
    return ImageGrid(
      cards: [.init(prompt: caption, shots: shots)], width: 384, isPixelated: false)
  }

  private func chosen(_ count: Int) -> [Row] {
    guard rows.count > count, count > 1 else { return Array(rows.prefix(count)) }
    return (0..<count).map { rows[$0 * (rows.count - 1) / (count - 1)] }
  }

  /// - Parameter bytes: the file of the image
  private static func reduced(_ image: RGBImage, _ bytes: [UInt8]) throws -> [UInt8] {
    guard max(image.width, image.height) > side else { return bytes }
    return try image.reduced(toLongerEdge: side).encodedAsPNG()
  }
}
