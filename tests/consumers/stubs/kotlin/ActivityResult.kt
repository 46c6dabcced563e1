package androidx.activity.result

import androidx.activity.result.contract.ActivityResultContracts.PickVisualMedia

fun interface ActivityResultCallback<O> {
    fun onActivityResult(result: O)
}

abstract class ActivityResultLauncher<I> {
    abstract fun launch(input: I)
}

class PickVisualMediaRequest

fun PickVisualMediaRequest(mediaType: PickVisualMedia.VisualMediaType): PickVisualMediaRequest =
    TODO()
