import Autograd

/// A network run on overlapping parts of a picture, one at a time, whose results are blended where they
/// overlap.
///
/// Parts do not see each other, so the result differs a little from that of the whole; it is the one that
/// diffusers gives with `enable_tiling`.
///
/// - Source: `AutoencoderKL.tiled_decode` of diffusers
struct Tiles {
  /// Height and width of a part, at the network's input and at its output.
  let inputSide: Int
  let outputSide: Int

  /// - Parameter x: `[batch, height, width, channels]`
  func callAsFunction(_ x: Tensor, _ body: (Tensor) -> Tensor) -> Tensor {
    let (height, width) = (x.shape[1], x.shape[2])
    guard max(height, width) > inputSide else { return body(x) }
    // A quarter of each part is blended with the one before.
    let distance = max(1, inputSide * 3 / 4)
    let overlap = outputSide / 4
    let kept = outputSide - overlap
    var above: [Tensor] = []
    var bands: [Tensor] = []
    for top in stride(from: 0, to: height, by: distance) {
      let band = x.slice(axis: 1, top..<min(top + inputSide, height))
      var row: [Tensor] = []
      for (column, left) in stride(from: 0, to: width, by: distance).enumerated() {
        let tile = body(band.slice(axis: 2, left..<min(left + inputSide, width)))
        if !above.isEmpty { blend(above[column], into: tile, axis: 1, over: overlap) }
        if let before = row.last { blend(before, into: tile, axis: 2, over: overlap) }
        row.append(tile)
      }
      let parts = row.map { tile in
        tile.slice(axis: 1, 0..<min(kept, tile.shape[1]))
          .slice(axis: 2, 0..<min(kept, tile.shape[2]))
      }
      bands.append(concatenated(parts, axis: 2))
      above = row
    }
    return concatenated(bands, axis: 1)
  }

  /// Leads over from the end of one part to the beginning of the next, in place.
  private func blend(_ first: Tensor, into second: Tensor, axis: Int, over extent: Int) {
    let (length, ownLength) = (first.shape[axis], second.shape[axis])
    let extent = min(length, ownLength, extent)
    let outer = second.shape[..<axis].reduce(1, *)
    let inner = second.shape[(axis + 1)...].reduce(1, *)
    for row in 0..<outer {
      for place in 0..<extent {
        let share = Float(place) / Float(extent)
        let source = first.pointer + (row * length + length - extent + place) * inner
        let target = second.pointer + (row * ownLength + place) * inner
        for index in 0..<inner {
          target[index] = source[index] * (1 - share) + target[index] * share
        }
      }
    }
  }
}
