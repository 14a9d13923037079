import HostResources

/// The weight gradient of a 3x3 convolution with stride 1 by the adjoint of ``Winograd``'s algorithm.
///
///     dg = G^T (sum over tiles of (A dy A^T) * (B^T d B)) G
///
/// Each of the 36 sums is a matrix product over the tiles, owned by one thread at a time, so the order
/// of summation does not depend on the number of threads.
struct WinogradWeightGradient {
  private let form: TileForm
  private let tiles: WinogradTiles
  private let input: UnsafePointer<Float>
  private let outputGradient: UnsafePointer<Float>

  /// Transformed floats of input and output held at a time.
  private static let transformedCount = 1 << 18

  static func tilesAtOnce(_ tiles: WinogradTiles) -> Int {
    let channels = tiles.inputChannels + tiles.outputChannels
    return min(tiles.count, max(96, transformedCount / (Winograd.planes * channels)))
  }

  /// The same rule as for the convolution, as long as the 36 sums take at most 16 MB.
  static func isFaster(_ shape: ConvolutionShape) -> Bool {
    WinogradTiles.suit(shape) && WinogradTiles(shape).areFaster && shape.outputChannels % 8 == 0
      && Winograd.planes * shape.inputChannels * shape.outputChannels <= 1 << 22
  }

  init(
    _ shape: ConvolutionShape, input: UnsafePointer<Float>,
    outputGradient: UnsafePointer<Float>, form: TileForm
  ) {
    self.form = form
    tiles = WinogradTiles(shape)
    self.input = input
    self.outputGradient = outputGradient
  }

  func run(into weightGradient: UnsafeMutablePointer<Float>) {
    let pairs = tiles.inputChannels * tiles.outputChannels
    let memory = Memory(tiles)
    let sums = HostMemory(count: memory.sums)
    sums.pointer.update(repeating: 0, count: sums.count)

    let size = Self.tilesAtOnce(tiles)
    let (inputs, gradients) = (WinogradPlanes(memory.inputs), WinogradPlanes(memory.gradients))
    for start in stride(from: 0, to: tiles.count, by: size) {
      let members = start..<min(tiles.count, start + size)
      transform(members, into: inputs, gradients, scratchChannels: memory.scratchChannels)
      addProducts(members.count, inputs, gradients, to: sums.pointer)
    }

    parallelBlocks(tiles.inputChannels, work: 150 * tiles.outputChannels) { rows in
      let scratch = WinogradScratch(form, channels: WinogradPanels.scratchChannels)
      for offset in stride(
        from: rows.lowerBound * tiles.outputChannels,
        to: rows.upperBound * tiles.outputChannels, by: 8)
      {
        Winograd.transformKernelGradient(
          sums.pointer + offset, planeStride: pairs, into: weightGradient + offset,
          kernelStride: pairs, scratch: scratch.vectors)
      }
    }
  }

  private func transform(
    _ members: Range<Int>, into inputs: WinogradPlanes, _ gradients: WinogradPlanes,
    scratchChannels: Int
  ) {
    let (inputChannels, outputChannels) = (tiles.inputChannels, tiles.outputChannels)
    parallelBlocks(members.count, work: 250 * (inputChannels + outputChannels)) { range in
      let scratch = WinogradScratch(form, channels: scratchChannels)
      for slot in range {
        tiles.locateInput(
          members.lowerBound + slot, in: input, outside: scratch.zeros.pointer,
          into: scratch.pixels)
        tiles.form.transformInput(
          scratch, channels: inputChannels, into: inputs.pointer + slot * inputChannels,
          planeStride: inputs.stride)
        tiles.locateOutput(
          members.lowerBound + slot, in: outputGradient, outside: scratch.zeros.pointer,
          into: scratch.pixels)
        Winograd.transformOutputGradient(
          scratch.pixels, channels: 0..<outputChannels,
          into: gradients.pointer + slot * outputChannels, planeStride: gradients.stride,
          scratch: scratch.vectors)
      }
    }
  }

  /// Adds `inputs[plane]^T gradients[plane]` to `sums[plane]`.
  private func addProducts(
    _ count: Int, _ inputs: WinogradPlanes, _ gradients: WinogradPlanes,
    to sums: UnsafeMutablePointer<Float>
  ) {
    let (inputChannels, outputChannels) = (tiles.inputChannels, tiles.outputChannels)
    let strips = (inputChannels + form.rows - 1) / form.rows
    let work = count * form.rows * outputChannels
    parallelBlocks(Winograd.planes * strips, work: work) { range in
      let worker = TileWorker(form)
      for item in range {
        let (plane, strip) = item.quotientAndRemainder(dividingBy: strips)
        let row = strip * form.rows
        let left = inputs.pointer + plane * inputs.stride + row
        let right = gradients.pointer + plane * gradients.stride
        let target = sums + (plane * inputChannels + row) * outputChannels
        for column in stride(from: 0, to: outputChannels, by: form.columns) {
          worker.multiply(
            left, leftStride: 1, leftStep: inputChannels,
            rows: min(form.rows, inputChannels - row), inner: count, right + column,
            panelStride: outputChannels, width: min(form.columns, outputChannels - column),
            into: target + column, outputStride: outputChannels, isAdding: true)
        }
      }
    }
  }
}
