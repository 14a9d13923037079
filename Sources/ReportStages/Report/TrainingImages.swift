import Files
import Foundation
import Imaging
import PipelineCore
import Reporting

/// Rows of held-out images that a tuning stage generated during training, from
/// `PATH/STAGE/pictures`.
struct TrainingImages {
  struct Row {
    /// The training progress with its unit: "batch 400".
    let label: String
    let number: Int
    /// The name in the folder.
    let name: String
  }

  let folder: String
  /// The rows from before training to its end.
  let rows: [Row]

  /// The longer side of a row on a page, in pixels; the file has full size.
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

  /// Returns the first row, the last one and some in between; nil if no file can be read.
  ///
  /// - Parameters:
  ///   - count: the maximum number of rows
  ///   - address: the folder as seen from a page; nil: not accessible
  ///   - caption: the caption below the rows
  func grid(count: Int, address: String?, caption: String) -> ImageGrid? {
    let shots = chosen(count).compactMap { row -> ImageGrid.Shot? in
      // A file that is being replaced or was lost is skipped.
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
